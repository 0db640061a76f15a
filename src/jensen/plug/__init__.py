"""jensen inside other tools: Hugging Face's Trainer, Lightning's Trainer, pytest. Each is loaded by name, and only then."""
