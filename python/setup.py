"""Builds the extension module against libpymalloc.

PYMALLOC_DIR in the environment says where that is: the folder that it was installed to
(the prefix), or one that it was built in.  Otherwise pkg-config is asked.
"""

import glob
import os
import re
import shlex
import subprocess
import sys

from setuptools import Extension, setup

HERE = os.path.dirname(os.path.abspath(__file__))
HEADER = "pymalloc/pymalloc.h"
SONAME = "libpymalloc.so.0"


def ask_pkg_config(*question):
    tool = os.environ.get("PKG_CONFIG", "pkg-config")
    try:
        answer = subprocess.run([tool, *question, "libpymalloc"], capture_output=True, text=True)
    except OSError:
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def find_in(folder):
    """The library and its headers, below a prefix or a build folder."""
    folder = os.path.abspath(folder)
    places = ["lib/.libs", "lib", "lib64", "lib/*-linux-gnu"]
    found = [f for place in places for f in sorted(glob.glob(os.path.join(folder, place, SONAME)))]
    if not found:
        sys.exit(f"setup.py: there is no {SONAME} in {folder} (from PYMALLOC_DIR)")
    # In a build folder headers are those of the source tree that this file belongs to.
    return found[0], [os.path.join(folder, "include"), os.path.join(HERE, os.pardir, "include")]


def find_library():
    folder = os.environ.get("PYMALLOC_DIR")
    if folder:
        return find_in(folder)
    libdir = ask_pkg_config("--variable=libdir")
    if libdir is None:
        sys.exit("setup.py: pkg-config does not know libpymalloc; PYMALLOC_DIR can say where it is")
    flags = shlex.split(ask_pkg_config("--cflags-only-I") or "")
    return os.path.join(libdir, SONAME), [flag[2:] for flag in flags]


def read_version(header):
    """The release that the header belongs to; so this package has no number of its own."""
    with open(header) as file:
        text = file.read()
    parts = [
        re.search(rf"^#define PYMALLOC_VERSION_{part} (\d+)$", text, re.MULTILINE)
        for part in ("MAJOR", "MINOR", "PATCH")
    ]
    return ".".join(part.group(1) for part in parts)


def main():
    library, folders = find_library()
    headers = [os.path.join(folder, HEADER) for folder in [*folders, "/usr/include"]]
    header = next(filter(os.path.exists, headers), None)
    if header is None:
        sys.exit(f"setup.py: there is no {HEADER} for {library}")
    extension = Extension(
        "pymalloc._pymalloc",
        sources=["src/hooks.c", "src/library.c", "src/module.c"],
        depends=["src/hooks.h", "src/library.h"],
        include_dirs=[os.path.dirname(os.path.dirname(header))],
        define_macros=[("_GNU_SOURCE", "1"), ("LIBRARY_FILE", f'"{library}"')],
        # The compiler must not reason about malloc: a block of it is only looked at.
        extra_compile_args=["-std=gnu11", "-fvisibility=hidden", "-fno-builtin-malloc"],
    )
    setup(
        version=read_version(header),
        packages=["pymalloc"],
        package_dir={"": "src"},
        include_package_data=False,  # for which a list of files would be made, in the source tree
        ext_modules=[extension],
    )


main()
