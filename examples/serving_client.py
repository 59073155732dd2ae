"""Asks TensorFlow Serving for text.

    keras-rnnlm export RUN --out exported --format saved_model
    mkdir -p models/writer && cp -r exported/saved_model models/writer/1
    docker run -p 8501:8501 -v "$PWD/models/writer:/models/writer" -e MODEL_NAME=writer tensorflow/serving

    python serving_client.py generate "The " --length 100 --temperature 0.8
    python serving_client.py score "The king is dead."

Models of words, characters and bytes take and give text; others are asked by `generate` with tokens.
"""

import argparse
import json
import urllib.request


def ask(url, signature, inputs):
    """The outputs of a signature by name. TensorFlow Serving leaves the name out where there is only one output."""
    body = json.dumps({"signature_name": signature, "inputs": inputs}).encode()
    request = urllib.request.Request(f"{url}:predict", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)["outputs"]


def generate(url, prompts, length, temperature=1.0, top_k=0, top_p=1.0, seed=0):
    """The text after each prompt. A temperature of 0 takes the likeliest; top_k=0 and top_p=1 leave nothing out."""
    settings = {"length": length, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    return ask(url, "generate_text", {"text": prompts, **settings})


def score(url, texts):
    """The log-probability of each text, in nats, and how many tokens it has."""
    outputs = ask(url, "score_text", {"text": texts})
    return list(zip(outputs["log_probability"], outputs["count"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("generate", "score"))
    parser.add_argument("text")
    parser.add_argument("--url", default="http://localhost:8501/v1/models/writer")
    parser.add_argument("--length", type=int, default=100)
    parser.add_argument("--temperature", type=float, default=0.8)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if options.what == "generate":
        (text,) = generate(options.url, [options.text], options.length, options.temperature, seed=options.seed)
        print(options.text + text)
    else:
        ((total, count),) = score(options.url, [options.text])
        print(f"{total:.3f} nats over {count} tokens")


if __name__ == "__main__":
    main()
