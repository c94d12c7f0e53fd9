"""poolkit explain"""
def explain() -> None:
    pass
