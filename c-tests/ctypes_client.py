"""Loads the library by its name, as Python programs do, and calls it. The last line is "N passed, M failed"."""
import ctypes
import sys

lib = ctypes.CDLL("libstmf.so.1")
passed = failed = 0


def check(what, got, wanted):
    global passed, failed
    if got == wanted:
        passed += 1
    else:
        failed += 1
        print(f"{what}: got {got!r}, wanted {wanted!r}")


class State(ctypes.Structure):
    _fields_ = [("operational", ctypes.c_int), ("config", ctypes.c_int)]


class GroupList(ctypes.Structure):
    _fields_ = [("cnt", ctypes.c_uint32), ("name", (ctypes.c_char * 256) * 1)]


state = State()
check("stmfGetState(NULL)", lib.stmfGetState(None), 0x8007)
check("stmfGetState", lib.stmfGetState(ctypes.byref(state)), 0)
check("state", (state.operational, state.config), (9, 16))

# A literal, shorter than stmfGroupName.
check("stmfCreateHostGroup", lib.stmfCreateHostGroup(b"py group"), 0)
check("again", lib.stmfCreateHostGroup(b"py group"), 0x8008)
groups = ctypes.POINTER(GroupList)()
check("stmfGetHostGroupList", lib.stmfGetHostGroupList(ctypes.byref(groups)), 0)
names = ctypes.cast(ctypes.addressof(groups.contents) + 4, ctypes.POINTER(ctypes.c_char * 256))
check("listed", b"py group" in [names[i].value for i in range(groups.contents.cnt)], True)
lib.stmfFreeMemory(groups)
check("stmfDeleteHostGroup", lib.stmfDeleteHostGroup(b"py group"), 0)
check("again", lib.stmfDeleteHostGroup(b"py group"), 0x8002)

enabled, node = ctypes.c_int(7), ctypes.c_uint8(7)
check("stmfGetAluaState", lib.stmfGetAluaState(ctypes.byref(enabled), ctypes.byref(node)), 0)
check("disabled", enabled.value, 0)

print(f"{passed} passed, {failed} failed")
sys.exit(1 if failed else 0)
