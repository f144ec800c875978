"""Server-sent events: who comes and goes, as streams that resume and never lie.

`Streams` opens and ends them. Below it: `reader` is one stream and what waits for it, `connection`
what it is sent by;
`feeds` follows a room for all of its readers, adapting what it sends them to how many are online, by
`lines`, each a watch and its readers;
`frames` is what is sent, `ids` what a stream is resumed by, `attendance` makes a stream presence, `taken`
counts them.
"""

from herenow.service.streaming.attendance import Identity
from herenow.service.streaming.settings import StreamSettings
from herenow.service.streaming.streams import Streams
from herenow.service.streaming.taken import TooManyOfOne, TooManyStreams

__all__ = ["Identity", "StreamSettings", "Streams", "TooManyOfOne", "TooManyStreams"]
