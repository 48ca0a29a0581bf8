import { findFileType } from './file-types.ts'

/**
 * Whether a browser may display the file: true for images, audio and video of the types that may be uploaded.
 */
function isShown(mimeType: string): boolean {
  const type = findFileType(mimeType)
  return type !== undefined && type.mediaType !== 'document'
}

/**
 * Builds a `content-disposition` header: inline if the browser may display the file, otherwise an attachment
 * (RFC 6266).
 */
export function contentDisposition({ mimeType, fileName }: { mimeType: string; fileName: string }): string {
  const kind = isShown(mimeType) ? 'inline' : 'attachment'
  const ascii = fileName.replaceAll(/[^\x20-\x7e]|["\\%]/g, '_')
  const encoded = encodeURIComponent(fileName).replaceAll(
    /['()*!]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${kind}; filename="${ascii}"; filename*=UTF-8''${encoded}`
}
