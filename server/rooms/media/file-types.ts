// The file types that may be uploaded, under the MIME type with which they are stored and served. SVG and
// HTML are missing because they run scripts when opened; other types are missing because their content cannot
// be recognised.

import { MEDIA_ITEM_MEDIA_TYPE } from '#server/db/values.ts'

export const MEDIA_TYPES = MEDIA_ITEM_MEDIA_TYPE
export type MediaType = (typeof MEDIA_TYPES)[number]

export interface FileType {
  readonly mimeType: string
  readonly mediaType: MediaType
  /** Other names of the type, as browsers, office suites and systems use them. */
  readonly aliases?: readonly string[]
  /** Other types as which the file's bytes may be detected. */
  readonly seenAs?: readonly string[]
  /** Used if the client declares no type. */
  readonly extensions: readonly string[]
  /** Detected as text, because the type has no signature; `sometimes`: by text or by signature. */
  readonly isText?: true | 'sometimes'
  /** Images only: the server can decode it and creates a thumbnail. */
  readonly isDecoded?: true
}

const OFFICE = 'application/vnd.openxmlformats-officedocument'
const OPEN = 'application/vnd.oasis.opendocument'
const ZIP = 'application/zip'
/** The format of Word, Excel and PowerPoint before 2007. */
const COMPOUND_FILE = 'application/x-cfb'

const video = (mimeType: string, rest: Rest): FileType => ({ mimeType, mediaType: 'video', ...rest })
const audio = (mimeType: string, rest: Rest): FileType => ({ mimeType, mediaType: 'audio', ...rest })
const image = (mimeType: string, rest: Rest): FileType => ({ mimeType, mediaType: 'image', ...rest })
const document = (mimeType: string, rest: Rest): FileType => ({ mimeType, mediaType: 'document', ...rest })
type Rest = Omit<FileType, 'mimeType' | 'mediaType'>

export const FILE_TYPES: readonly FileType[] = Object.freeze([
  video('video/mp4', {
    aliases: ['video/x-m4v', 'video/m4v', 'video/x-mp4', 'application/mp4'],
    extensions: ['mp4', 'm4v'],
  }),
  video('video/webm', { extensions: ['webm'] }),
  video('video/quicktime', { aliases: ['video/mov', 'video/x-quicktime'], extensions: ['mov', 'qt'] }),
  video('video/x-matroska', {
    aliases: ['video/matroska', 'video/mkv', 'video/x-mkv', 'application/x-matroska'],
    extensions: ['mkv'],
  }),
  video('video/ogg', { aliases: ['application/ogg', 'video/x-ogg'], extensions: ['ogv'] }),
  video('video/3gpp', { aliases: ['video/3gp', 'video/3gpp2', 'video/3g2'], extensions: ['3gp', '3g2'] }),

  audio('audio/mpeg', {
    aliases: ['audio/mp3', 'audio/mpeg3', 'audio/x-mpeg-3', 'audio/x-mp3', 'audio/x-mpeg', 'audio/mpg'],
    extensions: ['mp3'],
  }),
  audio('audio/mp4', {
    aliases: ['audio/x-m4a', 'audio/m4a', 'audio/x-mp4', 'audio/mp4a-latm', 'audio/x-m4b'],
    seenAs: ['video/mp4'],
    extensions: ['m4a', 'm4b'],
  }),
  audio('audio/wav', {
    aliases: ['audio/x-wav', 'audio/wave', 'audio/vnd.wave', 'audio/x-pn-wav'],
    extensions: ['wav'],
  }),
  audio('audio/ogg', {
    aliases: ['audio/opus', 'audio/vorbis', 'audio/x-ogg', 'application/ogg', 'application/x-ogg'],
    extensions: ['ogg', 'oga', 'opus'],
  }),
  audio('audio/flac', { aliases: ['audio/x-flac', 'application/flac'], extensions: ['flac'] }),
  audio('audio/aac', {
    aliases: ['audio/x-aac', 'audio/aacp', 'audio/vnd.dlna.adts', 'audio/x-hx-aac-adts'],
    extensions: ['aac'],
  }),
  audio('audio/webm', { seenAs: ['video/webm'], extensions: ['weba', 'webm'] }),

  image('image/png', {
    aliases: ['image/x-png', 'image/apng'],
    extensions: ['png', 'apng'],
    isDecoded: true,
  }),
  image('image/jpeg', {
    aliases: ['image/jpg', 'image/pjpeg', 'image/jfif', 'image/x-jpeg', 'image/x-jpg'],
    extensions: ['jpg', 'jpeg', 'jfif', 'pjpeg', 'jpe'],
    isDecoded: true,
  }),
  image('image/webp', { aliases: ['image/x-webp'], extensions: ['webp'], isDecoded: true }),
  image('image/gif', { aliases: ['image/x-gif'], extensions: ['gif'], isDecoded: true }),
  image('image/avif', {
    aliases: ['image/avif-sequence', 'image/avifs'],
    seenAs: ['image/heif'],
    extensions: ['avif', 'avifs'],
    isDecoded: true,
  }),
  image('image/heic', {
    aliases: ['image/heics', 'image/heic-sequence', 'image/x-heic'],
    seenAs: ['image/heif', 'image/heif-sequence'],
    extensions: ['heic', 'heics'],
  }),
  image('image/heif', {
    aliases: ['image/heifs', 'image/heif-sequence', 'image/x-heif'],
    seenAs: ['image/heic', 'image/heic-sequence'],
    extensions: ['heif', 'heifs', 'hif'],
  }),
  image('image/vnd.microsoft.icon', {
    aliases: ['image/x-icon', 'image/ico', 'image/icon', 'image/x-ico'],
    extensions: ['ico'],
  }),

  document('application/pdf', { aliases: ['application/x-pdf', 'text/pdf'], extensions: ['pdf'] }),
  document('text/plain', { extensions: ['txt', 'text', 'log'], isText: true }),
  document('text/markdown', { aliases: ['text/x-markdown'], extensions: ['md', 'markdown'], isText: true }),
  document('text/csv', {
    aliases: [
      'application/csv',
      'text/x-csv',
      'application/x-csv',
      'text/comma-separated-values',
      'text/x-comma-separated-values',
    ],
    extensions: ['csv'],
    isText: true,
  }),
  document('text/tab-separated-values', { aliases: ['text/tsv'], extensions: ['tsv'], isText: true }),
  document('application/yaml', {
    aliases: ['application/x-yaml', 'text/yaml', 'text/x-yaml', 'text/vnd.yaml'],
    extensions: ['yaml', 'yml'],
    isText: true,
  }),
  document('application/json', { aliases: ['text/json'], extensions: ['json'], isText: true }),
  document('application/rtf', {
    aliases: ['text/rtf', 'application/x-rtf', 'text/richtext'],
    extensions: ['rtf'],
  }),
  document(`${OFFICE}.wordprocessingml.document`, { seenAs: [ZIP], extensions: ['docx'] }),
  document(`${OFFICE}.spreadsheetml.sheet`, { seenAs: [ZIP], extensions: ['xlsx'] }),
  document(`${OFFICE}.presentationml.presentation`, { seenAs: [ZIP], extensions: ['pptx'] }),
  document(`${OPEN}.text`, {
    aliases: ['application/x-vnd.oasis.opendocument.text'],
    seenAs: [ZIP],
    extensions: ['odt'],
  }),
  document(`${OPEN}.spreadsheet`, {
    aliases: ['application/x-vnd.oasis.opendocument.spreadsheet'],
    seenAs: [ZIP],
    extensions: ['ods'],
  }),
  document(`${OPEN}.presentation`, {
    aliases: ['application/x-vnd.oasis.opendocument.presentation'],
    seenAs: [ZIP],
    extensions: ['odp'],
  }),
  document('application/msword', {
    aliases: ['application/x-msword', 'application/doc'],
    seenAs: [COMPOUND_FILE],
    extensions: ['doc'],
  }),
  // Windows with Excel also declares this type for a CSV.
  document('application/vnd.ms-excel', {
    aliases: ['application/excel', 'application/x-excel', 'application/x-msexcel', 'application/msexcel'],
    seenAs: [COMPOUND_FILE],
    extensions: ['xls'],
    isText: 'sometimes',
  }),
  document('application/vnd.ms-powerpoint', {
    aliases: ['application/powerpoint', 'application/x-mspowerpoint', 'application/mspowerpoint'],
    seenAs: [COMPOUND_FILE],
    extensions: ['ppt'],
  }),
  document(ZIP, {
    aliases: ['application/x-zip-compressed', 'application/x-zip', 'application/zip-compressed'],
    // Office files are ZIP archives.
    seenAs: [
      ...['wordprocessingml.document', 'spreadsheetml.sheet', 'presentationml.presentation'].map(
        kind => `${OFFICE}.${kind}`,
      ),
      ...['text', 'spreadsheet', 'presentation', 'graphics'].map(kind => `${OPEN}.${kind}`),
      'application/epub+zip',
    ],
    extensions: ['zip'],
  }),
])

/** The MIME types that a browser sends if it does not know the file's type. */
const UNKNOWN = new Set(['', 'application/octet-stream', 'binary/octet-stream', 'application/x-download'])

const BY_MIME_TYPE = new Map(FILE_TYPES.map(type => [type.mimeType, type]))

/** Returns the type stored under this name. */
export function findFileType(mimeType: string): FileType | undefined {
  return BY_MIME_TYPE.get(mimeType)
}

/** Whether `name` is the type's own name or an alias. */
export function isNameOf({ mimeType, aliases = [] }: FileType, name: string): boolean {
  return mimeType === name || aliases.includes(name)
}

/**
 * Resolves the declared type: by its name, in any case and with parameters such as a charset, or by the
 * file's extension if the name is unknown.
 */
export function resolveFileType(announced: {
  mediaType: MediaType
  mimeType: string
  fileName: string
}): FileType | undefined {
  const name = announced.mimeType.split(';', 1)[0]?.trim().toLowerCase() ?? ''
  const extension = /\.([a-z0-9]+)$/i.exec(announced.fileName)?.[1]?.toLowerCase() ?? ''
  const types = FILE_TYPES.filter(({ mediaType }) => mediaType === announced.mediaType)
  const byExtension = types.find(({ extensions }) => extensions.includes(extension))
  if (UNKNOWN.has(name)) return byExtension
  const byName = types.find(type => isNameOf(type, name))
  return byName?.isText === 'sometimes' && byExtension?.isText === true ? byExtension : byName
}
