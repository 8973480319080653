/*
 * Static probes (USDT) at slow-path events: an instruction that does nothing, until
 * perf, bpftrace, SystemTap or gdb looks at it.
 *
 *     pymalloc:arena_made      address
 *     pymalloc:arena_purged    address, bytes    memory of free pools went back
 *     pymalloc:pool_made       address, heap     from an arena; heap: its address
 *     pymalloc:pool_freed      address, heap
 *     pymalloc:inbox_drained   heap, blocks      freed by other threads, taken back
 *     pymalloc:large           address, bytes    asked of the system allocator
 *     otel_memory:alloc        address, size, weight    a sample of the heap profile;
 * it stands for weight bytes otel_memory:free         address           the sample was
 * freed
 *
 * Without the header <sys/sdt.h> at the build (Debian: systemtap-sdt-dev) there are
 * none.
 */
#ifndef PYM_PROBE_H
#define PYM_PROBE_H

#include "base.h"

#ifdef HAVE_SYS_SDT_H
#include <sys/sdt.h>
#define PYM_PROBE1(provider, name, a) DTRACE_PROBE1(provider, name, a)
#define PYM_PROBE2(provider, name, a, b) DTRACE_PROBE2(provider, name, a, b)
#define PYM_PROBE3(provider, name, a, b, c) DTRACE_PROBE3(provider, name, a, b, c)
#else
#define PYM_PROBE1(provider, name, a) ((void)(a))
#define PYM_PROBE2(provider, name, a, b) ((void)(a), (void)(b))
#define PYM_PROBE3(provider, name, a, b, c) ((void)(a), (void)(b), (void)(c))
#endif

#endif
