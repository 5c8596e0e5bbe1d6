"""postcard: values one after another, without names and types. See docs/format.md#terms."""


class Short(Exception):
    """The bytes end in the middle of a value."""


class Wrong(Exception):
    """The bytes are no such value."""


class Cursor:
    """Reads values from bytes, from a position on."""

    def __init__(self, data, position=0):
        self.data = data
        self.position = position

    def take(self, length):
        end = self.position + length
        if end > len(self.data):
            raise Short()
        taken = bytes(self.data[self.position : end])
        self.position = end
        return taken

    def u8(self):
        return self.take(1)[0]

    def _number(self, bits):
        number = 0
        for place in range((bits + 6) // 7):
            byte = self.u8()
            number |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                if number >= 1 << bits:
                    raise Wrong(f"a number of more than {bits} bits")
                return number
        raise Wrong(f"a number of more than {bits} bits")

    def u32(self):
        return self._number(32)

    def u64(self):
        return self._number(64)

    def i64(self):
        number = self._number(64)
        return (number >> 1) ^ -(number & 1)

    def blob(self):
        return self.take(self.u64())

    def text(self):
        try:
            return self.blob().decode()
        except UnicodeDecodeError:
            raise Wrong("a text that is not UTF-8") from None

    def list(self, item):
        return [item(self) for _ in range(self.u64())]

    def option(self, value):
        present = self.u8()
        if present > 1:
            raise Wrong("an option that is neither there nor not")
        return value(self) if present else None

    def variant(self, *variants):
        number = self.u32()
        if number >= len(variants):
            raise Wrong(f"unknown variant {number}")
        return variants[number](self)
