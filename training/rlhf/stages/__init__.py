"""The stages. Each module has `execute(run, config)`, and is imported only when its stage starts."""
