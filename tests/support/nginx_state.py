"""What a running NGINX holds, in a form that two of them can be compared in: asked of itself.

In: the folder of an `NginxInstance`'s engine. Out: a set of rows.
"""

from pathlib import Path

from weirkeeper.providers.nginx import control
from weirkeeper.providers.nginx.translate.frame import CONTROL


async def held_by(engine: Path) -> set[str]:
    told = await control.state(engine / CONTROL)
    entries = await control.held(engine / CONTROL, told.mark)
    return {f"file {told.mark}", *(f"{key} {version}" for key, version in entries.items())}
