"""Encoders behind an address: servers that follow OpenAI's embeddings protocol.

`OpenAICompatibleEncoder` cuts texts (`texts`), sends them in waves (`waves`) through
a client that retries (`client`), and checks what comes back (`response`). Who answers
is told by its vectors (`identity`).
"""
