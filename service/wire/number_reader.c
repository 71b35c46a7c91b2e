/* Reads the numbers of a JSON list into an array of float32.
 *
 * A parser that reads one byte after another knows where a number begins only when it has read the one before it, and the
 * processor cannot predict how long numbers are. So the commas are found first, which takes a tenth of the time, and then
 * all digits of a number are read at once, several numbers side by side.
 *
 * This is a fast path only: whatever it is not certain about, it leaves to others, which decide what is valid and write
 * the error messages. What it reads is the float32 that is nearest to the double that is nearest to the number.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <float.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

#if FLT_EVAL_METHOD != 0 || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "doubles must be computed as doubles, and the first of eight bytes must be the lowest"
#endif

#define BLOCK 64 /* bytes that are searched at once */
#define SEARCHED 4096 /* bytes that are searched before their numbers are read */
#define LONG (1 << 19) /* bytes from which on other threads may run: giving them a turn can take as long as reading less */
#define MAX_RANK 32
#define MAX_DIGITS 19 /* fit into 64 bits */
#define MAX_EXPONENT 64 /* what the least and the largest float32 need with as many digits */
#define LAST_POWER 22 /* the last power of ten that a double holds exactly */
#define EXACT (UINT64_C(1) << 53) /* up to here, a double holds all integers */
#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* From 10^-64 to 10^64, each the nearest double. */
static const double POWERS[2 * MAX_EXPONENT + 1] = {
    1e-64, 1e-63, 1e-62, 1e-61, 1e-60, 1e-59, 1e-58, 1e-57, 1e-56, 1e-55, 1e-54, 1e-53, 1e-52, 1e-51, 1e-50, 1e-49,
    1e-48, 1e-47, 1e-46, 1e-45, 1e-44, 1e-43, 1e-42, 1e-41, 1e-40, 1e-39, 1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33,
    1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23, 1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17,
    1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1e0, 1e1,
    1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21,
    1e22, 1e23, 1e24, 1e25, 1e26, 1e27, 1e28, 1e29, 1e30, 1e31, 1e32, 1e33, 1e34, 1e35, 1e36, 1e37, 1e38, 1e39, 1e40,
    1e41, 1e42, 1e43, 1e44, 1e45, 1e46, 1e47, 1e48, 1e49, 1e50, 1e51, 1e52, 1e53, 1e54, 1e55, 1e56, 1e57, 1e58, 1e59,
    1e60, 1e61, 1e62, 1e63, 1e64};

static const uint64_t INTEGER_POWERS[MAX_DIGITS] = {
    1ULL, 10ULL, 100ULL, 1000ULL, 10000ULL, 100000ULL, 1000000ULL, 10000000ULL, 100000000ULL, 1000000000ULL,
    10000000000ULL, 100000000000ULL, 1000000000000ULL, 10000000000000ULL, 100000000000000ULL, 1000000000000000ULL,
    10000000000000000ULL, 100000000000000000ULL, 1000000000000000000ULL};

/* A bit for each of 64 bytes: whether it is a comma. */
static inline uint64_t commas_among(const char *bytes) {
    uint64_t commas = 0;
#ifdef __SSE2__
    for (int i = 0; i < BLOCK; i += 16) {
        __m128i part = _mm_loadu_si128((const __m128i *)(bytes + i));
        commas |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(part, _mm_set1_epi8(','))) << i;
    }
#else
    for (int i = 0; i < BLOCK; i += 8) {
        uint64_t part;
        memcpy(&part, bytes + i, 8);
        part ^= EACH(','); /* a comma becomes zero */
        part = ~(((part & EACH(0x7F)) + EACH(0x7F)) | part) & EACH(0x80);
        commas |= ((part >> 7) * UINT64_C(0x0102040810204080) >> 56) << i;
    }
#endif
    return commas;
}

/* The commas of a text, of which those in some kilobytes are known. */
typedef struct {
    const char *searched, *end; /* what is left to search */
    const char *start; /* of what was searched last */
    int found, taken;
    uint16_t places[SEARCHED];
} Commas;

static __attribute__((noinline)) void find_commas(Commas *commas) {
    commas->start = commas->searched;
    commas->found = commas->taken = 0;
    for (int place = 0; place < SEARCHED && commas->searched < commas->end; place += BLOCK) {
        Py_ssize_t length = commas->end - commas->searched;
        char last[BLOCK] = {0};
        if (length < BLOCK)
            memcpy(last, commas->searched, (size_t)length);
        uint64_t among = commas_among(length < BLOCK ? last : commas->searched);
        for (; among; among &= among - 1)
            commas->places[commas->found++] = (uint16_t)(place + __builtin_ctzll(among));
        commas->searched += length < BLOCK ? length : BLOCK;
    }
}

/* Where the next comma is, or the end of the text. */
static inline const char *next_comma(Commas *commas) {
    while (commas->taken == commas->found) {
        if (commas->searched == commas->end)
            return commas->end;
        find_commas(commas);
    }
    return commas->start + commas->places[commas->taken++];
}

static inline bool is_space(char byte) {
    return (unsigned char)byte <= ' ' && (byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t');
}

static inline bool is_digit(char byte) { return (unsigned char)(byte - '0') < 10; }

/* The number that the last digits of sixteen bytes are. Another byte among these makes `others` not zero.
 * Neighbours are joined: digits to numbers of two, those to numbers of four, of eight, and of sixteen. */
static inline uint64_t last_digits(const char *bytes, Py_ssize_t count, uint64_t *others) {
    static const unsigned char LAST[32] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255,
                                           255, 255, 255, 255, 255, 255, 255, 255, 255};
#ifdef __SSE2__
    const __m128i nine = _mm_set1_epi8(9), low = _mm_set1_epi16(0xFF), ten = _mm_set1_epi16(10);
    const __m128i hundreds = _mm_set1_epi32(1 << 16 | 100), myriads = _mm_set1_epi32(1 << 16 | 10000);
    __m128i digits = _mm_xor_si128(_mm_loadu_si128((const __m128i *)bytes), _mm_set1_epi8('0'));
    digits = _mm_and_si128(digits, _mm_loadu_si128((const __m128i *)(LAST + count)));
    *others |= (uint64_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(digits, nine), nine)) ^ 0xFFFF;
    digits = _mm_add_epi16(_mm_mullo_epi16(_mm_and_si128(digits, low), ten), _mm_srli_epi16(digits, 8));
    digits = _mm_madd_epi16(digits, hundreds);
    digits = _mm_madd_epi16(_mm_packs_epi32(digits, digits), myriads);
    uint64_t eights = (uint64_t)_mm_cvtsi128_si64(digits);
    return (eights & UINT32_MAX) * UINT64_C(100000000) + (eights >> 32);
#else
    uint64_t number = 0;
    for (int i = 0; i < 16; i += 8) {
        uint64_t digits, wanted;
        memcpy(&digits, bytes + i, 8);
        memcpy(&wanted, LAST + count + i, 8);
        digits = (digits ^ EACH('0')) & wanted;
        *others |= (digits | (digits + EACH(0x76))) & EACH(0x80);
        digits = digits * 10 + (digits >> 8);
        digits = ((digits & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x000F424000000064) +
                  ((digits >> 16) & UINT64_C(0x000000FF000000FF)) * UINT64_C(0x0000271000000001)) >> 32;
        number = number * UINT64_C(100000000) + digits;
    }
    return number;
#endif
}

/* The float32 nearest to the double nearest to digits * 10^exponent, if that is certain and finite. */
static inline bool scale(uint64_t digits, Py_ssize_t exponent, float *value) {
    if (exponent < -MAX_EXPONENT || exponent > MAX_EXPONENT)
        return false;
    double number = (double)digits * POWERS[exponent + MAX_EXPONENT];
    /* Three roundings give a double within a few units of the nearest. That is as good, unless there is the middle between
     * two neighbouring float32 among them, which have 29 bits less. */
    uint64_t bits;
    memcpy(&bits, &number, 8);
    bool is_near = (bits & ((UINT64_C(1) << 29) - 1)) - (UINT64_C(1) << 28) + 16 <= 32;
    if (is_near | ((number < FLT_MIN) & (digits > 0))) {
        /* One rounding does give the nearest. */
        if (digits > EXACT || exponent < -LAST_POWER || exponent > LAST_POWER)
            return false;
        number = exponent < 0 ? (double)digits / POWERS[MAX_EXPONENT - exponent]
                              : (double)digits * POWERS[exponent + MAX_EXPONENT];
    }
    *value = (float)number;
    return number <= FLT_MAX;
}

/* A number of any form that JSON has. */
static __attribute__((noinline)) bool read_any(const char *at, const char *end, float *value) {
    uint64_t digits = 0;
    Py_ssize_t exponent = 0, power = 0, count = 0;
    const char *start = at;
    for (; at < end && is_digit(*at); at++, count += digits > 0)
        digits = digits * 10 + (uint64_t)(*at - '0');
    if (at == start || (*start == '0' && at - start > 1))
        return false;
    if (at < end && *at == '.') {
        start = ++at;
        for (; at < end && is_digit(*at); at++, count += digits > 0)
            digits = digits * 10 + (uint64_t)(*at - '0');
        if (at == start)
            return false;
        exponent = start - at;
    }
    if (count > MAX_DIGITS)
        return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        bool below = ++at < end && *at == '-';
        at += below || (at < end && *at == '+');
        start = at;
        for (; at < end && is_digit(*at) && at - start < 4; at++)
            power = power * 10 + (*at - '0');
        if (at == start)
            return false;
        exponent += below ? -power : power;
    }
    return at == end && scale(digits, exponent, value);
}

/* A number between two places of a text, without spaces around it. */
static inline bool read_number(const char *text, const char *at, const char *end, float *value) {
    bool negative = at < end && *at == '-';
    at += negative;
    /* Most have one digit before the point, or are short integers. Up to 32 bytes are read, all of which are text. */
    Py_ssize_t length = end - at, decimals = length - 2;
    uint64_t others = 1, digits = 0;
    if (decimals > 0 && decimals <= 32 && at[1] == '.' && end - text >= 32) {
        uint64_t first = (uint64_t)(unsigned char)*at - '0';
        others = first > (decimals < MAX_DIGITS ? 9 : 0);
        digits = last_digits(end - 16, decimals < 16 ? decimals : 16, &others);
        if (decimals > 16) {
            uint64_t high = last_digits(end - 32, decimals - 16, &others);
            others |= high >= 1000;
            digits += high * UINT64_C(10000000000000000);
        }
        digits += first * INTEGER_POWERS[decimals < MAX_DIGITS ? decimals : 0];
    } else if (length > 0 && length <= 16 && end - text >= 32) {
        others = (uint64_t)(*at == '0') & (uint64_t)(length > 1);
        digits = last_digits(end - 16, length, &others);
        decimals = 0;
    }
    if (negative && length == 1 && *at == '0') /* an integer, which has no sign if it is zero */
        return false;
    if (others ? !read_any(at, end, value) : !scale(digits, -decimals, value))
        return false;
    uint32_t bits; /* a condition could not be predicted */
    memcpy(&bits, value, 4);
    bits ^= (uint32_t)negative << 31;
    memcpy(value, &bits, 4);
    return true;
}

/* Lists of one shape: rows, each with as many numbers. */
static bool read_lists(const char *text, const char *text_end, float *values, const Py_ssize_t *shape, int rank,
                       Py_ssize_t rows) {
    Commas commas = {.searched = text, .end = text_end};
    Py_ssize_t row_length = shape[rank - 1];
    int begun = rank; /* lists that the row begins */
    const char *at = text;
    for (Py_ssize_t row = 0; row < rows; row++) {
        /* A row ends as many lists as it is the last one of. The next row begins as many. */
        Py_ssize_t ended = row + 1;
        int ends = 1;
        for (int axis = rank - 2; axis >= 0 && ended % shape[axis] == 0; axis--) {
            ended /= shape[axis];
            ends++;
        }
        for (Py_ssize_t i = 0; i < row_length; i++) {
            const char *comma = next_comma(&commas), *end = comma;
            bool is_last = i == row_length - 1;
            if ((comma == text_end) != (is_last && row == rows - 1))
                return false;
            if (i == 0)
                for (; begun; begun--, at++) {
                    while (at < end && is_space(*at))
                        at++;
                    if (at == end || *at != '[')
                        return false;
                }
            if (is_last)
                for (; begun < ends; begun++, end--) {
                    while (at < end && is_space(end[-1]))
                        end--;
                    if (at == end || end[-1] != ']')
                        return false;
                }
            while (at < end && is_space(*at))
                at++;
            while (at < end && is_space(end[-1]))
                end--;
            if (!read_number(text, at, end, values++))
                return false;
            at = comma + 1;
        }
    }
    return true;
}

/* The rank of a shape, or 0 if it is not that of an array of so many numbers. */
static int read_shape(PyObject *dims, Py_ssize_t count, Py_ssize_t *shape, Py_ssize_t *rows) {
    Py_ssize_t rank = PyTuple_Size(dims);
    if (rank < 1 || rank > MAX_RANK)
        return 0;
    *rows = 1;
    for (Py_ssize_t axis = 0; axis < rank; axis++) {
        shape[axis] = PyLong_AsSsize_t(PyTuple_GetItem(dims, axis));
        if (shape[axis] <= 0 || shape[axis] > count / *rows)
            return 0;
        *rows *= axis < rank - 1 ? shape[axis] : 1;
    }
    return *rows * shape[rank - 1] == count ? (int)rank : 0;
}

/* read_float32(text, values, shape): whether all numbers of a list were read, with certainty. If not, values may have any.
 *
 * text: bytes of the list, from its first bracket to its last.
 * values: a contiguous array of float32, which has room for as many numbers as lists of the shape have.
 * shape: a tuple, the lengths of the lists at each depth. */
static PyObject *read_float32(PyObject *Py_UNUSED(module), PyObject *arguments) {
    Py_buffer text, values;
    PyObject *dims;
    if (!PyArg_ParseTuple(arguments, "y*w*O!:read_float32", &text, &values, &PyTuple_Type, &dims))
        return NULL;
    Py_ssize_t shape[MAX_RANK], rows;
    int rank = read_shape(dims, values.len / (Py_ssize_t)sizeof(float), shape, &rows);
    const char *start = text.buf;
    bool read = false;
    if (rank && text.len > LONG) {
        Py_BEGIN_ALLOW_THREADS
        read = read_lists(start, start + text.len, values.buf, shape, rank, rows);
        Py_END_ALLOW_THREADS
    } else if (rank) {
        read = read_lists(start, start + text.len, values.buf, shape, rank, rows);
    }
    PyBuffer_Release(&text);
    PyBuffer_Release(&values);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(read);
}

static PyMethodDef METHODS[] = {
    {"read_float32", read_float32, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "number_reader", .m_size = 0, .m_methods = METHODS};

PyMODINIT_FUNC PyInit_number_reader(void) { return PyModuleDef_Init(&MODULE); }
