"""A reward behind RLHF, best-of-n and reranking, over HTTP.

`embrm serve MODEL` runs it; `embrm.serve.app.create_app` makes the ASGI app. Needs the
extra `serve`, which is imported when these modules are.
"""
