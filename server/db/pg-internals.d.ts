declare module 'pg/lib/utils.js' {
  /** Maps a JavaScript value to what the wire takes: text, a buffer or null. */
  export function prepareValue(value: unknown): string | Buffer | null
}
