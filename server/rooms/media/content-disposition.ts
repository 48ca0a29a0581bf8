import { findFileType } from './file-types.ts'

/** What a browser may show by itself: images, audio and video of the types that may be uploaded. Everything else is for saving. */
function isShown(mimeType: string): boolean {
  const type = findFileType(mimeType)
  return type !== undefined && type.mediaType !== 'document'
}

/** A `content-disposition` header: shown for images, audio and video of known types, else an attachment (RFC 6266). */
export function contentDisposition({ mimeType, fileName }: { mimeType: string; fileName: string }): string {
  const kind = isShown(mimeType) ? 'inline' : 'attachment'
  const ascii = fileName.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(fileName).replaceAll(
    /['()*!]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${kind}; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
