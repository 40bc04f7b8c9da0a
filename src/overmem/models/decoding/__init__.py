"""Writing answers: our own decoding, and that of transformers where a model does not suit ours."""
