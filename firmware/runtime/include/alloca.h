// Included by wasm2c's output, used only for tail calls, which a core has none of.
#ifndef ALLOCA_H_
#define ALLOCA_H_

#endif
