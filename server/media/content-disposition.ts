/** What a browser may show by itself. Everything else is for saving. */
const SHOWN = /^(image\/(png|jpeg|webp|gif|avif)|(audio|video)\/[a-z0-9.+-]+)$/

/** A `content-disposition` header: shown for images, audio and video of known types, else an attachment (RFC 6266). */
export function contentDisposition({ mimeType, fileName }: { mimeType: string; fileName: string }): string {
  const kind = SHOWN.test(mimeType) ? 'inline' : 'attachment'
  const ascii = fileName.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(fileName).replaceAll(
    /['()*!]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${kind}; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
