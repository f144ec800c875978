"""The embedded server: a real Valkey that comes up with its first user and goes with its last.

Every process of the machine that names the same directory shares one server over a unix socket.
Nobody is in charge of it for good, any of them may be killed at any moment, and yet there are
never two servers on one append-only file, and none is left behind. Three locks (``flock``) in the
directory see to that. The kernel drops a lock when its last holder ends, however it ends, so no
lock is ever stale, and nothing here trusts a pid or a ping to say that somebody is gone.

``users.lock``
    Each user process holds it shared, from ``open_server`` to ``close`` or its end. A fork inherits
    it, rightly: it is held until parent and child have both let go. So nobody ever *unlocks* it
    (that would unlock it for the other too); one only closes the file. Executed programs do not
    inherit it.
``herenow.lock``, the boot lock
    Who holds it is in charge of the server's life. A user who finds it free takes it, starts a
    detached supervisor, and hands the lock on to it by inheritance: it is never free in between.
``server.lock``
    The server process itself inherits it, and nobody starts a server without it. A server that is
    busy, loading or suspended does not answer, yet holds its lock: silence is no proof of absence.

The supervisor asks for ``server.lock``, and the kernel grants it when no server lives: then it
starts one, which takes the lock with it, and asks again. So it adopts a server whose supervisor was
killed, and replaces one that died, without a line for either. Meanwhile it asks for ``users.lock``
exclusively, which the kernel grants when the last user is gone; holding it, it stops the server
cleanly. A user who comes at that moment waits for it, so they never join a server that is stopping.

A user is served when, holding ``users.lock``, they found the boot lock taken and then the server
answered a PING. ``ensure`` checks it, at the start and whenever a connection finds the socket dead.

``supervisor`` is the script, and needs nothing but the standard library; ``programs`` finds the
binaries; ``directory`` owns what a directory must be and who may have written it; ``server`` is the
user's end. None of them imports a Redis client.
"""

from herenow.embedded.directory import default_directory, project_directory
from herenow.embedded.server import EmbeddedServer, open_server

__all__ = ["EmbeddedServer", "default_directory", "open_server", "project_directory"]
