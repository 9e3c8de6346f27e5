/** About how many bytes `value` takes while it waits: enough to bound a queue by. */
export function sizeOf(value: unknown): number {
  switch (typeof value) {
    case 'string':
      return 16 + 2 * value.length;
    case 'object':
      if (value === null) return 8;
      if (ArrayBuffer.isView(value)) return 32 + value.byteLength;
      if (Array.isArray(value)) return value.reduce((bytes: number, item) => bytes + sizeOf(item), 32);
      return Object.entries(value).reduce((bytes, [key, item]) => bytes + 2 * key.length + sizeOf(item), 32);
    default:
      return 8;
  }
}
