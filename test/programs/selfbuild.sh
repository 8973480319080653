# selfbuild: this project configured, built and installed with the preload set.
# limit: 900 s
. "$PROGRAMS/common.sh"
needs make gcc g++

# A copy without what a build in the source tree would have left there.
mkdir source build
tar -C "$top_srcdir" -cf - --exclude=.git --exclude='*.o' --exclude='*.lo' --exclude='*.la' \
    --exclude=.libs --exclude=.deps --exclude=.dirstamp --exclude=./Makefile --exclude=./config.h \
    --exclude=./config.status --exclude=./config.log --exclude=./libtool --exclude=./stamp-h1 . |
    tar -C source -xf -

# Thousands of short processes: the short log will do.  Configure reads what the
# compiler says on standard error.
export SUBJECT_LEVEL=libs PYMALLOC=
cd build
subject sh ../source/configure --prefix="$WORK/installed" >configure.log
subject make -j2 >make.log
subject make install >install.log
grep '^#' config.h
cd "$WORK/installed"
find . | sort
find . -type f ! -name '*.la' -exec sha256sum {} + | sort
