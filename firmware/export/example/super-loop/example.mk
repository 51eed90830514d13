# The example for the machine that it is compiled on.
EXAMPLE = $(BUILD)/super-loop

all: $(EXAMPLE)

$(EXAMPLE): example/main.c example/port.c $(OBJECTS)
	$(CC) $(LANGUAGE) $(WARNINGS) $(INCLUDES) $(LINK_FLAGS) example/main.c example/port.c $(OBJECTS) $(RUNTIME_LIBRARY) -o $@
