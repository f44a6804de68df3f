// Lets Python say what callgrind counts.
#include <valgrind/callgrind.h>

void instrument(void) { CALLGRIND_START_INSTRUMENTATION; }

void begin(void) { CALLGRIND_ZERO_STATS; }

void end(const char* name) { CALLGRIND_DUMP_STATS_AT(name); }
