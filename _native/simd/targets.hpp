// Marks functions that are compiled for instructions that not every processor has.
#pragma once

#if defined(__clang__)
#define RECORDING_PRAGMA(text) _Pragma(#text)
#define BEGIN_TARGET(features) \
  RECORDING_PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define END_TARGET _Pragma("clang attribute pop")
#else
#define RECORDING_PRAGMA(text) _Pragma(#text)
#define BEGIN_TARGET(features) _Pragma("GCC push_options") RECORDING_PRAGMA(GCC target(features))
#define END_TARGET _Pragma("GCC pop_options")
#endif
