"""Encoders behind an address: servers that follow OpenAI's embeddings protocol.

`OpenAICompatibleEncoder` cuts texts (`_texts`), sends them in waves through a client
that retries (`_client`), and checks the answers (`_answers`). The model is identified
by its vectors (`_identity`).
"""
