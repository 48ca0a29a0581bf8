// The library's pattern for addresses refuses top-level domains in punycode (`user@example.xn--p1ai`). Inside
// the library such an address has an additional label, which is removed everywhere else. `.invalid` is a
// reserved domain (RFC 2606).

const MARK = '.invalid'

/** Converts an address to the form that the library accepts. */
export function toLibraryEmail(email: string): string {
  return /\.xn--[a-z0-9-]+$/i.test(email) ? `${email}${MARK}` : email
}

/** Converts every such address in a text back. */
export function fromLibraryEmail(text: string): string {
  return text.replace(/(\.xn--[a-z0-9-]+)\.invalid(?![a-z0-9.-])/gi, '$1')
}
