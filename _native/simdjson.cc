// simdjson, from the sources that the pysimdjson build requirement carries.
#include <simdjson.cpp>
