package chatsim

import "maps"

// File is a file of a chat.
type File struct {
	ID          string
	Name        string
	ContentType string
	Data        []byte // shared with the server: do not change
	// Size is how many bytes it has. It is there where Data is not, in an [Event].
	Size int64
	// UserData is what the uploader gave with it.
	UserData map[string]string
	// From is the kind of who gave it.
	From    PartyType
	Deleted bool
}

// storedFile is a file as the chat keeps it. Guarded by its chat's mu.
type storedFile struct {
	File
	from *party
}

func (c *Chat) listFiles() []File {
	var out []File
	for _, f := range c.files {
		file := f.File
		file.UserData = maps.Clone(file.UserData)
		out = append(out, file)
	}
	return out
}

func (c *Chat) findFile(id string) *storedFile {
	for _, f := range c.files {
		if f.ID == id && !f.Deleted {
			return f
		}
	}
	return nil
}

// storeLocked keeps a file and tells everybody.
func (c *Chat) storeLocked(from *party, file File) *storedFile {
	file.ID, file.Size, file.From = c.server.keys.fileID(), int64(len(file.Data)), from.kind
	f := &storedFile{from: from, File: file}
	c.files = append(c.files, f)
	c.addLocked(&event{kind: FileUploaded, from: from, file: &File{ID: f.ID, Name: f.Name, ContentType: f.ContentType, Size: f.Size, From: f.From}})
	return f
}

// deleteFileLocked deletes a file and tells everybody.
func (c *Chat) deleteFileLocked(by *party, f *storedFile) {
	f.Deleted = true
	c.addLocked(&event{kind: FileDeleted, from: by, file: &File{
		ID: f.ID, Name: f.Name, ContentType: f.ContentType, Size: f.Size, From: f.From, Deleted: true,
	}})
}

// SendFile gives the visitor a file. No limits apply to it. The data is kept, not copied.
func (s *Seat) SendFile(name, contentType string, data []byte) (File, error) {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return File{}, err
	}
	return c.storeLocked(s.party, File{Name: name, ContentType: contentType, Data: data}).File, nil
}

// DeleteFile deletes any file of the chat. It reports whether there was one.
func (s *Seat) DeleteFile(id string) (bool, error) {
	c := s.chat
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := s.checkLocked(); err != nil {
		return false, err
	}
	f := c.findFile(id)
	if f == nil {
		return false, nil
	}
	c.deleteFileLocked(s.party, f)
	return true, nil
}
