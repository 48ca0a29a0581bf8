// The library checks addresses with a pattern that takes no top-level domain in punycode
// (`user@example.xn--p1ai`). To the library such an address has one more label; nobody else sees it.
// `.invalid` is no domain of the Internet's (RFC 2606).

const MARK = '.invalid'

/** An address in the form that the library accepts. */
export function toLibraryEmail(email: string): string {
  return /\.xn--[a-z0-9-]+$/i.test(email) ? `${email}${MARK}` : email
}

/** Every such address in a text, as it is. */
export function fromLibraryEmail(text: string): string {
  return text.replace(/(\.xn--[a-z0-9-]+)\.invalid(?![a-z0-9.-])/gi, '$1')
}
