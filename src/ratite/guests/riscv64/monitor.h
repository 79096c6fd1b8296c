/* What the parts of the monitor know of each other. */
#ifndef MONITOR_H
#define MONITOR_H

#include <stddef.h>
#include <stdint.h>

/* console.c: the 16550A serial port */
void put(char c);
void print(const char *format, ...);     /* %s %c %d %u %x (64 bits all), with width and leading zero */
void read_line(char *line, size_t size); /* with echo; backspace and C-u edit, C-c gives it up */

/* devicetree.c: the description of the machine that its reset code hands over */
int tree_check(uintptr_t tree);
const void *tree_property(uintptr_t tree, const char *node, const char *property, uint32_t *length);
uint64_t be(const void *bytes, unsigned count);

/* trap.c */
extern volatile uint64_t ticks;
void start_ticks(uint64_t interval);
void stop_ticks(void);

/* bench.c: seconds are not told by the programs, the monitor times them */
struct bench {
    const char *name;
    uint64_t (*run)(void);
    uint64_t expected;
};
extern const struct bench benches[];

/* commands.c */
_Noreturn void restart(void);
void prompt(void);
void monitor(uint64_t hart, uintptr_t tree);

/* The board's timer: 10 MHz, SiFive CLINT layout. */
#define TIMER_HZ 10000000u
#define MTIME ((volatile uint64_t *)0x0200bff8)
#define MTIMECMP ((volatile uint64_t *)0x02004000)

#define read_csr(name) ({ uint64_t value_; __asm__ volatile("csrr %0, " #name : "=r"(value_)); value_; })
#define set_csr(name, bits) __asm__ volatile("csrs " #name ", %0" ::"r"((uint64_t)(bits)))
#define clear_csr(name, bits) __asm__ volatile("csrc " #name ", %0" ::"r"((uint64_t)(bits)))

#endif
