"""Which thread a thread-local variable is of.
"""

import gdb

from .geometry import WORD_MASK


def thread_label(thread):
    return "%d (LWP %d)" % (thread.num, thread.ptid[1] or thread.ptid[0])


def thread_pointer(frame):
    for name in ("fs_base", "tpidr"):
        try:
            return int(frame.read_register(name)) & WORD_MASK
        except (ValueError, gdb.error):
            pass
    return None


def thread_pointers():
    """Pairs of a thread pointer and its thread, in order; the selection stays."""
    found = []
    selected = gdb.selected_thread()
    frame = gdb.selected_frame() if selected is not None else None
    try:
        for thread in gdb.selected_inferior().threads():
            try:
                thread.switch()
                pointer = thread_pointer(gdb.newest_frame())
            except gdb.error:  # it is running, or has just ended
                continue
            if pointer is not None:
                found.append((pointer, thread.num, thread))
    finally:
        if selected is not None and selected.is_valid():
            selected.switch()
            frame.select()
    return [(pointer, thread) for pointer, _, thread in sorted(found)]


def nearest_thread(pointers, address):
    """The thread in whose static thread-local storage an address lies.

    That adjoins the thread pointer: on x86 it ends there, elsewhere it begins there.
    So no library for debugging threads is needed, which may not fit a core file.
    """
    if gdb.selected_inferior().architecture().name().startswith("i386"):
        above = [thread for pointer, thread in pointers if pointer > address]
        return above[0] if above else None
    below = [thread for pointer, thread in pointers if pointer <= address]
    return below[-1] if below else None
