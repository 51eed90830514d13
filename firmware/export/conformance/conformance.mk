# Tries the port of PORT, whose own files are PORT_SOURCES and whose main program calls conformance_run.
PORT_SOURCES ?= example/port.c
CONFORMANCE_MAIN ?= example/conformance_main.c
CONFORMANCE = $(BUILD)/conformance

ifneq (,$(wildcard $(CONFORMANCE_MAIN)))
all: $(CONFORMANCE)
endif

$(BUILD)/conformance.o: conformance/conformance.c $(HEADERS) $(PORT_HEADERS) $(wildcard conformance/*.h) | $(BUILD)
	$(CC) $(LANGUAGE) $(WARNINGS) -Isrc $(INCLUDES) -c $< -o $@

$(CONFORMANCE): $(CONFORMANCE_MAIN) $(PORT_SOURCES) $(BUILD)/conformance.o $(OBJECTS)
	$(CC) $(LANGUAGE) $(WARNINGS) $(INCLUDES) -Iconformance $(LINK_FLAGS) $(CONFORMANCE_MAIN) $(PORT_SOURCES) $(BUILD)/conformance.o $(OBJECTS) $(RUNTIME_LIBRARY) -o $@
