"""What the site of `docs/` is built with, besides MkDocs: see mkdocs.yml."""
