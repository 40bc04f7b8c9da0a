/* Search from a folder. Browsers refuse workers from file://, so the worker's script runs in a hidden frame there. */
if (location.protocol === "file:") {
  const load = (document, url) =>
    new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = resolve;
      script.onerror = () => reject(new Error(`cannot load ${url}`));
      document.body.appendChild(script);
    });

  /* The part of the Worker interface that the theme's search uses: messages in both directions, importScripts. */
  class IFrameWorker extends EventTarget {
    constructor(url) {
      super();
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.scope = frame.contentWindow;
      this.scope.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      this.scope.importScripts = (...urls) =>
        urls.reduce((before, next) => before.then(() => load(this.scope.document, next)), Promise.resolve());
      this.ready = load(this.scope.document, url);
    }

    postMessage(data) {
      this.ready.then(() => this.scope.dispatchEvent(new MessageEvent("message", { data })));
    }
  }
  window.IFrameWorker = IFrameWorker; /* the theme's worker looks for this name */
  window.Worker = IFrameWorker;
}
