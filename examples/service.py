"""Writes and scores over HTTP, without Keras and TensorFlow.

    keras-rnnlm export RUN --out exported --format onnx
    pip install "./runtime[onnx]" fastapi uvicorn
    EXPORTED=exported uvicorn --app-dir examples service:app

in a checkout. Then, from anywhere:

    curl localhost:8000/generate -H "Content-Type: application/json" -d '{"prompt": "The ", "length": 100, "seed": 1}'
    curl localhost:8000/score -H "Content-Type: application/json" -d '{"text": "The king is dead."}'

A model answers many requests at once: its states are arguments and results, so that requests share nothing.
"""

import os

import fastapi
import pydantic

try:  # the small distribution, or the whole one
    from keras_rnnlm_runtime import load
    from keras_rnnlm_runtime.generation import Sample
except ImportError:
    from keras_rnnlm.export.runtime import load
    from keras_rnnlm.generation import Sample


class Prompt(pydantic.BaseModel):
    prompt: str = ""
    length: int = pydantic.Field(100, ge=1, le=2000)
    temperature: float = pydantic.Field(0.8, ge=1e-3, le=1e3)
    top_p: float = pydantic.Field(1.0, gt=0, le=1)
    seed: int = pydantic.Field(0, ge=0, lt=2**63)


class Text(pydantic.BaseModel):
    text: str


def service(path):
    """The application of an export."""
    model, app = load(path, threads=1), fastapi.FastAPI(title="keras_rnnlm")

    @app.post("/generate")
    def generate(asked: Prompt):
        sampler = Sample(temperature=asked.temperature, top_p=asked.top_p)
        return {"text": model.generate(asked.prompt, asked.length, sampler, seed=asked.seed)}

    @app.post("/score")
    def score(asked: Text):
        if not asked.text:
            raise fastapi.HTTPException(422, "a text to score has at least one character")
        found = model.score(asked.text)
        return {"log_probability": found["log_probability"], "tokens": len(found["tokens"])}

    return app


if "EXPORTED" in os.environ:
    app = service(os.environ["EXPORTED"])
