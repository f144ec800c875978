"""What the forum talks about, and who its members are: birds. Data alone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Post:
    """A member's post."""

    by: str
    text: str


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread, and the room of those who read it."""

    id: int
    title: str
    posts: tuple[Post, ...]

    @property
    def room(self) -> str:
        """The room's name in herenow."""
        return f"thread:{self.id}"


_NAMES = (
    "Avocet Bittern Blackbird Bullfinch Chaffinch Crossbill Curlew Dipper Dunnock Fieldfare Firecrest "
    "Gannet Goldcrest Goldfinch Goshawk Greenfinch Heron Hobby Hoopoe Jackdaw Jay Kestrel Kingfisher "
    "Kittiwake Lapwing Linnet Magpie Nightjar Nuthatch Oriole Osprey Puffin Redstart Redwing Robin Rook "
    "Siskin Skylark Starling Stonechat Swift Teal Treecreeper Turnstone Wagtail Waxwing Whimbrel Wren"
)
MEMBERS = {name.lower(): name for name in _NAMES.split()}
"""Each member's id and name: on a site of yours, rows of a table."""


def _thread(number: int, title: str, *posts: tuple[str, str]) -> Thread:
    return Thread(number, title, tuple(Post(by, text) for by, text in posts))


THREADS = {
    one.id: one
    for one in (
        _thread(
            1,
            "First swallow of the year?",
            (
                "skylark",
                "Two over the reservoir at seven this morning, low and fast. Anybody else?",
            ),
            ("wren", "One at the farm by the bridge. It sat on the wire as if it had never left."),
            (
                "heron",
                "I have stood here since March and saw none. I may have been looking at fish.",
            ),
        ),
        _thread(
            2,
            "Which hedge is best for nesting",
            ("dunnock", "Hawthorn, and do not let anyone tell you otherwise."),
            ("goldfinch", "A tall privet that nobody cuts before August did well for us."),
        ),
        _thread(
            3,
            "Night migration: what did you hear?",
            ("redwing", "Thin calls from eleven on, more before the rain than after it."),
            ("nightjar", "I would tell you, but I was busy."),
            ("whimbrel", "Seven whistles. It is always seven whistles."),
        ),
        _thread(
            4,
            "Cats. Again.",
            ("blackbird", "The grey one sits under the feeder as though it paid for the seed."),
            ("magpie", "Leave it to me."),
        ),
        _thread(
            5,
            "Introduce yourself here",
            ("kingfisher", "Blue, quick, not fond of company. Hello."),
            ("starling", "There are forty thousand of us; I will keep this short."),
            ("puffin", "Back on land until August. Tell me what I missed."),
        ),
        _thread(
            6,
            "Feeders: sunflower hearts or peanuts?",
            ("nuthatch", "Hearts. I can carry nine."),
            ("siskin", "Whatever hangs upside down."),
        ),
    )
}
