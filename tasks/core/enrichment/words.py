"""The words the local analyser goes by: each language's most frequent ones, and English ones that praise or blame.

Short lists by hand, so that they need no data set and no licence; what they miss is said in docs/enrichment.md.
"""

from __future__ import annotations

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Of two letters and more: single ones are articles here, names and notes there.
STOP_WORDS: Mapping[str, frozenset[str]] = {
    "en": _words(
        "the of and to in is you that it he was for on are with as his they at be this have from or had by but not "
        "what all were we when your can said there an which she do how their if will my me so no just been our"
    ),
    "de": _words(
        "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als auch es an werden aus er "
        "hat dass sie nach wird bei einer um am sind noch wie einem über einen so zum war haben nur oder aber vor ich "
        "wir"
    ),
    "fr": _words(
        "le la les de des et un une du en est que qui dans pour pas sur ce il elle plus par je nous vous ne se au aux "
        "avec son sa ses mais ou où comme cette tout être c'est j'ai leur si même bien sont mon ma"
    ),
    "es": _words(
        "el la los las de que en un una es por con no para su al lo como más pero sus le ya este sí porque esta entre "
        "cuando muy sin sobre también me hasta hay donde quien desde todo nos yo del se mi está son"
    ),
    "it": _words(
        "il lo la gli le di che un una in per non con si da del della dei nel alla sono ma come anche più mi ho ha se "
        "al questo questa io ci tutto quando molto dalla perché sua suo cosa così era della nella ti"
    ),
    "pt": _words(
        "os as de que em um uma do da não para com por se na no mais como mas ao ele das dos seu sua ou quando muito "
        "nos já eu também só pelo pela até isso ela entre depois sem mesmo aos você está são meu"
    ),
    "nl": _words(
        "de het een en van in is dat op te zijn niet met voor er aan die ook als maar om dan ze wat of bij nog uit "
        "naar door ik je hij we zij heeft was deze wel geen kan over meer al worden mijn"
    ),
}

POSITIVE = _words(
    "amazing awesome beautiful best better brilliant calm charming clever cool delight delighted delightful easy "
    "enjoy enjoyed excellent excited exciting fantastic favorite favourite fine friendly fun funny glad good "
    "gorgeous great happy helpful hope impressive inspiring interesting joy kind like liked love loved lovely "
    "lucky masterpiece nice outstanding peace perfect pleasant pleased pretty proud recommend refreshing rich "
    "smooth special strong stunning success sunny superb sweet thank thanks thrilled tremendous warm well win "
    "winner wonderful worth wow"
)
NEGATIVE = _words(
    "afraid angry annoying awful bad bitter bored boring broken cheap confusing cruel cry dead death difficult "
    "dirty disappointed disappointing disappointment disgusting dull evil fail failed failure fake fear garbage "
    "hard hate hated horrible hurt lazy lie lonely lose loser lost mediocre mess miserable nasty negative noisy "
    "overrated pain painful pathetic poor problem regret ridiculous rude sad scam scared shame sick slow sorry "
    "stupid terrible tired trash ugly unfortunately unhappy useless waste weak weird worse worst wrong"
)
NEGATIONS = _words(
    "no not never neither nor without cannot hardly barely isn't wasn't don't doesn't didn't can't won't"
)
