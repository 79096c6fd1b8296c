/* The console: a 16550A at 0x10000000, polled. */
#include <stdarg.h>
#include "monitor.h"

#define UART ((volatile uint8_t *)0x10000000)
enum { DATA = 0, FIFO_CONTROL = 2, LINE_STATUS = 5 };
enum { DATA_READY = 0x01, TRANSMIT_EMPTY = 0x20 };

static void put_byte(char c)
{
    while (!(UART[LINE_STATUS] & TRANSMIT_EMPTY))
        ;
    UART[DATA] = (uint8_t)c;
}

void put(char c)
{
    if (c == '\n')
        put_byte('\r');
    put_byte(c);
}

static char get(void)
{
    while (!(UART[LINE_STATUS] & DATA_READY))
        ;
    return (char)UART[DATA];
}

static void put_number(uint64_t value, unsigned base, unsigned width, char fill)
{
    char digits[24];
    unsigned count = 0;
    do {
        digits[count++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    for (; width > count; width--)
        put(fill);
    while (count)
        put(digits[--count]);
}

static unsigned put_text(const char *text)
{
    unsigned count = 0;
    for (; text[count]; count++)
        put(text[count]);
    return count;
}

void print(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    for (; *format; format++) {
        if (*format != '%') {
            put(*format);
            continue;
        }
        char fill = *++format == '0' ? '0' : ' ';
        unsigned width = 0;
        for (; *format >= '0' && *format <= '9'; format++)
            width = width * 10 + (unsigned)(*format - '0');
        switch (*format) {
        case 's':
            for (unsigned shown = put_text(va_arg(arguments, const char *)); shown < width; shown++)
                put(' ');
            break;
        case 'c':
            put((char)va_arg(arguments, int));
            break;
        case 'd': {
            int64_t value = va_arg(arguments, int64_t);
            if (value < 0)
                put('-');
            put_number(value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, width, fill);
            break;
        }
        case 'u':
            put_number(va_arg(arguments, uint64_t), 10, width, fill);
            break;
        case 'x':
            put_number(va_arg(arguments, uint64_t), 16, width, fill);
            break;
        default:
            put(*format);
        }
    }
    va_end(arguments);
}

static void rub_out(size_t count)
{
    while (count--)
        print("\b \b");
}

void read_line(char *line, size_t size)
{
    size_t length = 0;
    for (;;) {
        char c = get();
        switch (c) {
        case '\r':
        case '\n':
            print("\n");
            line[length] = 0;
            return;
        case '\b':
        case 0x7f:
            if (length) {
                length--;
                rub_out(1);
            }
            break;
        case 'U' & 0x1f:
            rub_out(length);
            length = 0;
            break;
        case 'C' & 0x1f:
            print("^C\n");
            line[0] = 0;
            return;
        default:
            if (c >= ' ' && length + 1 < size) {
                line[length++] = c;
                put(c);
            }
        }
    }
}
