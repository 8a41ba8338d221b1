"""The words that answers are made of.

Each is one token in both `o200k_base` and `cl100k_base`, with a space before it or with a capital
and none, so an answer of N words has exactly N tokens however it is counted.
"""

# 331 is a prime: a walk over the list with any stride meets every word before it repeats one.
WORDS = """
about above across action after again against air all almost along also always among answer any
area around ask away back base before begin behind best better between big black blue body book
both box bright bring build call can care case change check child city clear close cold come
common cool copy country course cover cross dark day deep did different do door down draw drive
each early earth east easy eat effect end enough even every example eye face fact fall family
far farm fast few field final find fine fire first five follow food foot for form found four
free friend from full game general get give glass go gold good great green ground group grow
hand hard have head heart heat heavy help here high hold home hot hour house how keep kind king
know land language large last late learn leave left letter level life light line list little
live long look low machine main make many map mark material mean measure method mind minute
money month moon more morning most mother mountain move music name nature near need never new
next night north note number ocean often old once open order other our over own page paper part
pass past path people picture piece place plain plan plant play point power problem product
public question quick quiet rain reach read ready real red river road rock room round rule run
same school science sea season second see sentence seven shape ship short show side simple six
size sky sleep slow small snow song sound south space special spring stand star start state stay
step still stone story street strong study summer sun sure surface table take talk ten test than
thing think thought three through time together town travel tree true turn two under unit until
use very voice wait walk wall warm watch water way week well west wheel white whole why wide
will wind window winter wood word work world write year yellow
""".split()  # noqa: SIM905 - as a literal it would be 331 lines

FIRST_PIECES = [word.capitalize() for word in WORDS]
NEXT_PIECES = [" " + word for word in WORDS]


def pieces(seed: int, count: int) -> list[str]:
    """A sequence of `count` one-token pieces that depends on nothing but the seed."""
    if count <= 0:
        return []
    size = len(WORDS)
    start = seed % size
    stride = 1 + (seed // size) % (size - 1)
    walk = [NEXT_PIECES[(start + step * stride) % size] for step in range(1, count)]
    return [FIRST_PIECES[start], *walk]
