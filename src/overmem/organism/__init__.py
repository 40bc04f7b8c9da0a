"""The bundled tiny reasoner and the script that makes it."""
