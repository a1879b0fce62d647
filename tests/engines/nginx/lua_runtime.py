"""The LuaJIT that NGINX's Lua module runs on, driven from here: a module of ours is loaded, and a function of it is asked.

Comes in: a text. Goes out: what the function makes of it, as bytes. The library is the very one that the module is linked to.
"""

import ctypes
import ctypes.util
from importlib.resources import files
from typing import Any

GLOBALS, TOP = -10002, -1


class Lua:
    """One state with one of our modules."""

    def __init__(self, module: str, function: str) -> None:
        self._library: Any = ctypes.CDLL(ctypes.util.find_library("luajit-5.1") or "libluajit-5.1.so.2")
        self._library.luaL_newstate.restype = ctypes.c_void_p
        self._library.lua_tolstring.restype = ctypes.POINTER(ctypes.c_char)
        self._state = ctypes.c_void_p(self._library.luaL_newstate())
        self._library.luaL_openlibs(self._state)
        source = files("weirkeeper.providers.nginx").joinpath("lua", module).read_bytes()
        assert self._library.luaL_loadbuffer(self._state, source, len(source), module.encode()) == 0, self._top()
        assert self._library.lua_pcall(self._state, 0, 1, 0) == 0, self._top()
        self._function = function.encode()

    def ask(self, text: bytes) -> bytes | None:
        """What the function answers, where it is a text; None where it is nothing."""
        self._library.lua_getfield(self._state, TOP, self._function)
        self._library.lua_pushlstring(self._state, text, len(text))
        assert self._library.lua_pcall(self._state, 1, 1, 0) == 0, self._top()
        answer = self._top()
        self._library.lua_settop(self._state, -2)
        return answer

    def _top(self) -> bytes | None:
        size = ctypes.c_size_t()
        found = self._library.lua_tolstring(self._state, TOP, ctypes.byref(size))
        return bytes(found[: size.value]) if found else None
