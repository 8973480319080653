/*
 * Micro benchmarks of single functions of the malloc family.  Takes the command line of
 * Google Benchmark (--help lists it); which allocator is measured is up to LD_PRELOAD.
 */
#include "micro.h"

int main(int argc, char **argv)
{
    micro_register_pairs();
    micro_register_orders();
    micro_register_realloc();
    micro_register_aligned();
    micro_register_cxx();
    micro_register_threads();
    return gbench_main(argc, argv);
}
