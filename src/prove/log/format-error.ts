/** Something does not follow its format. The message says what, of a text that the caller names. */
export class FormatError extends Error {
  override name = 'FormatError';
}

/** Standard base64 with padding, in its one spelling: Node reads others too. Throws FormatError. */
export function fromBase64(text: string, what: string): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (text === '' || bytes.toString('base64') !== text) throw new FormatError(`${what} is not base64`);
  return bytes;
}
