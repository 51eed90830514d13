# The runtime that executes the core: RUNTIME=wamr or wasm3, RUNTIME_INCLUDES its headers (-I...), RUNTIME_LIBRARY what a
# program is linked with.
RUNTIME ?= wamr
RUNTIME_INCLUDES ?=
RUNTIME_LIBRARY ?=
ifeq ($(RUNTIME),wamr)
LANGUAGE += -DMETERTIME_RUNTIME_WAMR=1
else
LANGUAGE += -DMETERTIME_RUNTIME_WASM3=1
endif
