"""The wire: translates protobuf and JSON to the core's nouns and back. The only importer of generated code."""
