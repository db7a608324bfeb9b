#!/usr/bin/env python3
"""Makes src/accounting/catalogue.tsv of a list of model prices: scripts/prices.py <model_prices.json> "<source, version, date>"

The list is LiteLLM's cost map as a JSON list of objects with `provider`, `model` and prices in USD per token. The catalogue has
one line a model, sorted, so that it is searched as it lies in the binary: `provider/model`, a tab, and prices in pico-dollars
(1e-12 USD) per token, each after its letter.
"""
import json
import sys
from decimal import Decimal
from pathlib import Path

LETTERS = {
    "input_cost_per_token": "i",
    "output_cost_per_token": "o",
    "cache_read_input_token_cost": "r",
    "cache_creation_input_token_cost": "w",
    "cache_creation_input_token_cost_above_1hr": "h",
    "output_cost_per_reasoning_token": "t",
    "input_cost_per_audio_token": "a",
    "output_cost_per_audio_token": "b",
    "input_cost_per_token_above_200k_tokens": "I",
    "output_cost_per_token_above_200k_tokens": "O",
    "cache_read_input_token_cost_above_200k_tokens": "R",
}


def pico(value):
    scaled = Decimal(value) * 10**12
    if scaled != scaled.to_integral_value():
        raise SystemExit(f"{value} USD is no whole number of pico-dollars")
    return int(scaled)


def main(path, source):
    models = {}
    for row in json.loads(Path(path).read_text(), parse_float=Decimal):
        # What runs on the owner's machine costs nothing, whatever its name.
        if row["provider"] == "ollama":
            continue
        prices = models.setdefault(f"{row['provider']}/{row['model']}", {})
        for field, letter in LETTERS.items():
            # Some models are listed twice. Where the prices differ the higher one counts: a budget must hold.
            if field in row:
                prices[letter] = max(pico(row[field]), prices.get(letter, 0))
        # Free for everybody, unlike what is only not sold by the token.
        if row["mode"] == "moderation":
            prices["free"] = True
    # What is not sold by the token has no price here.
    sold = {name: prices for name, prices in models.items() if prices.pop("free", False) or any(prices.get(letter) for letter in "ioab")}
    lines = [f"{name}\t{' '.join(letter + str(price) for letter, price in sold[name].items())}" for name in sorted(sold, key=str.encode)]
    out = Path(__file__).parent.parent / "src/accounting/catalogue.tsv"
    out.write_text("\n".join([f"# Pico-dollars per token, made by scripts/prices.py. Source: {source}", *lines]) + "\n")
    print(f"{len(lines)} models")


main(*sys.argv[1:3])
