# php: arrays, objects, strings, JSON, with the Zend heap and without it.
. "$PROGRAMS/common.sh"
needs php
subject php "$INPUTS/work.php"
# Without its own heap, every small block of the language comes from malloc.
USE_ZEND_ALLOC=0 subject php "$INPUTS/work.php"
