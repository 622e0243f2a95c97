# Writes what a real Ruby marshals: tests/core/marshal.rs reads it, and says what is to be made of
# each file. To be run by hand, when a case is added:
#
#     ruby tests/data/marshal/generate.rb
#
# The files in the repository are those of Ruby 3.1; the format has not changed since 1.9.

DIRECTORY = __dir__

def write(name, object)
  File.binwrite(File.join(DIRECTORY, "#{name}.bin"), Marshal.dump(object))
end

# Each form in which Marshal writes a length: none, in the byte, in 1, 2 or 3 bytes of its own.
[0, 1, 122, 123, 255, 256, 257, 4096, 4097, 65_535, 65_536].each do |length|
  write("length-#{length}", "a" * length)
end

# As `E`, as `encoding`, and not at all (as every Ruby before 1.9 did).
write("encoding-utf-8", "写真/猫.jpg")
write("encoding-us-ascii", "aa/aa.dat".encode("US-ASCII"))
write("encoding-ascii-8bit", "aa/\xff\xfe.dat".b)
write("encoding-iso-8859-1", "grün.jpg".encode("ISO-8859-1"))
write("encoding-shift_jis", "写真/猫.jpg".encode("Shift_JIS"))
write("encoding-windows-31j", "写真/猫.jpg".encode("Windows-31J"))
write("encoding-euc-jp", "写真/猫.jpg".encode("EUC-JP"))
write("encoding-stateless-iso-2022-jp-kddi", "a.jpg".dup.force_encoding("stateless-ISO-2022-JP-KDDI"))
write("encoding-shift_jis-backslash", "表.jpg".encode("Shift_JIS"))
write("encoding-utf-16le", "a.jpg".encode("UTF-16LE"))

# Strings that are more than their bytes.
class Subclass < String; end
module Extension; end
write("string-subclass", Subclass.new("a.jpg"))
write("string-extended", "a.jpg".dup.extend(Extension))
write("string-variable", "a.jpg".dup.tap { |string| string.instance_variable_set(:@a, 1) })
write("string-variable-only", "a.jpg".b.tap { |string| string.instance_variable_set(:@a, 1) })

# Everything else.
module ActiveSupport
  module Cache
    # As Rails' own: an entry around the value.
    class Entry
      def initialize(value)
        @value, @version, @created_at, @expires_in = value, nil, 0.0, nil
      end
    end
  end
end
Pair = Struct.new(:left, :right)
class Dumped
  def _dump(_level) = "a.jpg"
end
class MarshalDumped
  def marshal_dump = "a.jpg"
end
write("other-nil", nil)
write("other-true", true)
write("other-false", false)
write("other-integer", 297_887)
write("other-integer-big", 2**64)
write("other-float", 1.5)
write("other-symbol", :"a.jpg")
write("other-symbol-encoded", :"猫")
write("other-array", ["a.jpg"])
write("other-hash", { "a.jpg" => 1 })
write("other-hash-default", Hash.new("a.jpg"))
write("other-regexp", /a.jpg/)
write("other-struct", Pair.new("a.jpg", 1))
write("other-class", String)
write("other-module", Kernel)
write("other-object", Object.new)
write("other-object-dump", Dumped.new)
write("other-object-marshal_dump", MarshalDumped.new)
write("other-cache-entry", ActiveSupport::Cache::Entry.new("a.jpg"))
