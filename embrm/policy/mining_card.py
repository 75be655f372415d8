"""The card of a mined file: what was selected by what, and how to train on it."""

from collections.abc import Mapping
from pathlib import Path

from embrm.policy.mining import Mined, MiningRule
from embrm.policy.preference_files import TRAINING_FORMATS


def mining_card(mined: Mined, out: Path, facts: Mapping[str, str]) -> str:
    """Write the card of a mined file in Markdown.

    Parameters
    ----------
    mined : Mined
    out : Path
        The file.
    facts : mapping of str to str
        What else is known: the model, the encoder's digest, which reward, the source.

    Examples
    --------
    >>> from embrm.policy.mining import Mined, MiningRule
    >>> mined = Mined(MiningRule(), 3, 1, 1, {}, {"all": 0.0}, {}, {}, {"mean": 1.0})
    >>> print(mining_card(mined, Path("pairs.jsonl"), {"model": "m"}).splitlines()[0])
    # Preferences mined by reward: pairs.jsonl
    """
    rule = mined.rule
    kind = "Preferences" if rule.makes_pairs else "Demonstrations"
    how = TRAINING_FORMATS[rule.format]
    use = how.use_pairs if rule.makes_pairs else how.use_demonstrations
    lines = [f"# {kind} mined by reward: {out.name}", ""]
    lines += [f"- {name}: `{value}`" for name, value in facts.items()]
    lines += [f"- strategy: `{rule.strategy}`, format: `{rule.format}`"]
    lines += [
        f"- {name.replace('_', ' ')}: {value:g}"
        for name, value in _settings(rule).items()
    ]
    lines += [
        f"- rows: {mined.n_written:,}, of {mined.n_items:,} responses",
        f"- prompts: {mined.n_prompts:,}",
        *(f"- left out: {n:,} {why}" for why, n in mined.left_out.items()),
        "",
        "| mean | all | chosen | rejected |",
        "|---|---:|---:|---:|",
    ]
    tables = {"reward (nats)": (mined.reward, ".3f")}
    tables["length (characters)"] = (mined.length, ".0f")
    tables["outside the training hull"] = (mined.outside, ".1%")
    for name, (values, form) in tables.items():
        cells = [
            format(values[key], form) if key in values else "-"
            for key in ("all", "chosen", "rejected")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    if mined.margin:
        spread = ", ".join(f"{k} {v:.3f}" for k, v in mined.margin.items())
        lines += ["", f"Margins, in nats: {spread}."]
    lines += ["", "## How to train on it", "", "```", use.format(file=out.name), "```"]
    lines += ["", _LIMITS, ""]
    return "\n".join(lines)


def _settings(rule: MiningRule) -> dict[str, float]:
    """List settings that are not at their default."""
    plain = MiningRule()
    names = ("caution", "length_penalty", "diversity", "min_margin", "n", "p", "eta")
    changed = {name: float(getattr(rule, name)) for name in names}
    return {k: v for k, v in changed.items() if v != getattr(plain, k)}


_LIMITS = """\
What is chosen is what the model rewards, its errors included: the best of many is
where a reward is most often wrong. Compare lengths and the share outside the hull
before training, and measure the trained policy by something else than this reward."""
