// How much of the stack was ever used: from its lowest address on, paint was never written over.
#include "stack.h"

#include "platform.h"

void stack_read_use(struct stack_use *use) {
  const volatile uint32_t *at = stack_bottom;
  while (at < stack_top && *at == STACK_PAINT) at++;
  use->used_bytes = (uint32_t)((uintptr_t)stack_top - (uintptr_t)at);
  use->total_bytes = (uint32_t)((uintptr_t)stack_top - (uintptr_t)stack_bottom);
}
