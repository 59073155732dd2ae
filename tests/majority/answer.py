from keras_rnnlm.export.runtime.models import ExportedModel


class Answer(ExportedModel):
    takes_text = True

    def majority(self, texts):
        """The most frequent symbol of each text."""
        ids = [self.reader().encode(text) for text in texts]
        best = [int(self.run({"tokens": row[None].astype("int32")})["logits"].argmax()) for row in ids]
        return [self.tokenizer.decode([symbol]) for symbol in best]

    def show(self, options, settings, prompts):
        print("\n".join(self.majority(prompts)))

    def predict(self, file, *, encoding="utf-8", batch_size=32):
        texts = file.read_text(encoding).split()
        for text, symbol in zip(texts, self.majority(texts)):
            yield f"{text} {symbol}", {"text": text, "symbol": symbol}
