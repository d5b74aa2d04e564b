"""The baseline of a look-up: a bare FastAPI route that returns a constant."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/constant")
async def constant() -> dict[str, bool]:
    """A constant."""
    return {"allowed": True}
